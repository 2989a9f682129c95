"""What a scenario is made of, beside the scenario itself and its faults."""
