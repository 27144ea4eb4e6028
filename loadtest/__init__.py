"""What Lastslot is measured with, and what it is measured against."""
