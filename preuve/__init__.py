"""The proof: every row of truth in one Merkle log, signed and witnessed, and what verifies it without us."""
