"""The interface for sending requests, and its HTTP implementation."""
