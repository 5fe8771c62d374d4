"""One study, run in this process: the request, the study that answers it (new, resumed or
finished), its owner and claims, its trials, and the store that the search of ``optimizer`` works
on."""
