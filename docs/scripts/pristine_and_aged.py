"""
Pristine against aged
=====================

"""
print(1)
