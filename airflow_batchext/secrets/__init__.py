"""What is secret: the names that tell, the references that stand for it, and the one redactor."""
