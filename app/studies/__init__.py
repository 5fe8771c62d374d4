"""Studies: opened once per question, resumed until they are finished."""
