"""The HTTP door: triggers and events come in, vendors report back, and customers' links end here."""
