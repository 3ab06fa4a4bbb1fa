"""How the service answers: its envelope, its errors, its tokens and its signed URLs."""
