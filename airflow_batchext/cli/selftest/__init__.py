"""``batchext selftest``: a real account judges the emulator, and with it what we believe of Azure."""
