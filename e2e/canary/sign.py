"""Objects that git has signed, of the address that is granted."""

ID = b"1" * 40
GRANTED = b"agent@acme.example"
PERSON = b"A U Thor <" + GRANTED + b"> 1700000000 +0000"
COMMIT = b"tree %b\nauthor %b\ncommitter %b\n\nsubject\n" % (ID, PERSON, PERSON)
TAG = b"object %b\ntype commit\ntag v1\ntagger %b\n\nmessage\n" % (ID, PERSON)
SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH"
"""How every signature of ssh-keygen begins: `SSHSIG` in base64, which no attack sends."""
