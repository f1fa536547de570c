"""What there is: models, versions, deployments, routes, their history, and the one way to change them."""
