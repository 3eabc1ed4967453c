"""Real servers of their own for the demo, the examples and the tests; gone afterwards.

guard.py      who cleans up after a server, and how
folder.py     a folder for a server, with a guardian that outlives its owner
postgres.py   PostgreSQL
programs.py   the Valkey and Redis servers that this machine has
ports.py      addresses for servers that listen on TCP
valkey.py     Valkey or Redis: one server, which can be killed and started again
cluster.py    a Valkey cluster of several nodes
"""
