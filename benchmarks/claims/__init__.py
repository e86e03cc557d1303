"""The evidence: the programs that compute, check and write up the claims in results/claims/."""
