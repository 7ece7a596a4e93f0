"""Make the pictures: python -m tasks.pictures."""

from tasks.pictures.drawing import draw
from tasks.pictures.sessions import show_all
from tasks.places import PICTURES, ROOT

for name, (typed, shown) in show_all().items():
    path = PICTURES / f"{name}.svg"
    path.write_text(draw(typed, shown))
    print(f"dev: made {path.relative_to(ROOT)}")
