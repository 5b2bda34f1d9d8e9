"""The whole delivery core in virtual time, on a model of the store, with everything around it going wrong by a seed."""
