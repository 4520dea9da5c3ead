"""A client, a platform and a user's program on one event loop whose time is virtual: any run can be made again."""
