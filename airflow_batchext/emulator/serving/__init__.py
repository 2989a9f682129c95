"""How the emulator is served: sockets, TLS, the application, its control, and its state on disk."""
