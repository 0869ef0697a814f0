"""Bounces and complaints that come by mail: `reading` tells what one says, `maildir` and `imap` are where they arrive."""
