"""Work on PDF files that strangers made. It runs in processes of its own, which hold no secret and can be killed."""
