"""A journal run through today's rooms and tables again, under a mock clock: where would they answer otherwise?"""
