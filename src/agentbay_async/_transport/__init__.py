"""Transport: HTTP, direct calls, WebSockets and presigned URLs, over aiohttp."""
