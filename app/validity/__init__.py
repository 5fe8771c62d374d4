"""Does a stored result still hold? One comparison, and four ways of finding out what is true now.

``comparison`` compares the conditions of then and now; it is pure. The conditions of now come from
``worker`` (torch is asked, seconds), ``disk_cache`` (what workers said earlier, milliseconds),
``last_seen`` (what the store saw last, no device involved) or ``reported`` (what a client or a
command says of itself). They differ in what they can know, never in how it is compared or worded.
"""
