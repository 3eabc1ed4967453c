"""Two processes, one on asyncio and one on Trio, that share executions over a Valkey server.

worker.py     what runs in each process
__main__.py   starts a server and both processes, asks them, and kills one
"""
