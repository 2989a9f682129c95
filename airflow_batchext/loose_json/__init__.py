"""JSON whose shape nobody promises, as documents and answers bring it: how it is walked, how it is read."""
