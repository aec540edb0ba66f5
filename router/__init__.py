"""A webhook router: alerts and missed check-ins reach the team that owns them."""
