"""TELLS. Published facts become metrics, log lines and history; nothing here decides anything."""
