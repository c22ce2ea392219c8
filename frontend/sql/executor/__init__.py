"""The run time of compiled plans: what generated code calls because it is not worth generating."""
