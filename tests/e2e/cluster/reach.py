"""Runs inside a pod: says of each HOST:PORT whether a connection can be opened.

python - HOST:PORT... < reach.py
"""

import socket
import sys

for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            print(place, "open")
    except OSError:
        print(place, "shut")
