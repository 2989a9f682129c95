"""Where rules and reads meet: each driver carries out, with a hook, what the rules ask for."""
