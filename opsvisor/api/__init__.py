"""The HTTP API: one module per noun, errors and access in one place each."""

from opsvisor.api.lean_aiohttp import leave_client_out

# Before any module of it, or of whoever uses it, imports aiohttp.
leave_client_out()
