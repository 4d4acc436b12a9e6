"""SPEAKS AS OTHERS DO. Everything here could be deleted and opsvisor would still be whole."""
