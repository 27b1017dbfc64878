"""Networks, and what turns their clips into videos."""
