"""Requests over HTTP/1.1: answers read, connections kept, and public data fetched with them."""
