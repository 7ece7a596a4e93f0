"""Settings of the property tests."""

from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: how long an example takes says nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
