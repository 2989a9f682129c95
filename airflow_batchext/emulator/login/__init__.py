"""Who may come in: Microsoft Entra, managed identities, account keys, and role-based access control."""
