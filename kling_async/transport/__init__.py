"""How a request is sent: the seam, and its HTTP implementation."""
