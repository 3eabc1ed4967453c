"""A user profile service that coalesces its database queries.

Run it with `python -m examples.user_service`. Read it from the inside out: `user`, `database`,
`service`, `app`. Beside `service`, `batched_service` fetches different users by one query, and
`cached_service` remembers them for a second.
"""
