"""The processes people run: REST and gRPC shells, admin API, CLI, and the one place where the parts are composed."""
