"""Client-side I/O: HTTP, direct calls, WebSockets and object-store URLs, all over aiohttp."""
