"""Locks on open files, which the operating system gives back when the process that holds one dies."""

from __future__ import annotations

import errno
import sys
from typing import Final

__all__ = ["try_lock"]

# What a file system says that has no locks.
_WITHOUT_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})

if sys.platform == "win32":
    import msvcrt
    import os

    # Locked bytes cannot be read by others, so that it is one that nobody reads.
    _FAR_AWAY: Final = 2**40

    def try_lock(descriptor: int) -> bool | None:
        """Lock a file for whoever has it open here; return False if somebody else has it locked, at once.

        Returns None if the file system has no locks. Closing the file unlocks it.
        """
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _FAR_AWAY, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)
        return True
else:
    import fcntl

    def try_lock(descriptor: int) -> bool | None:
        """Lock a file for whoever has it open here; return False if somebody else has it locked, at once.

        Returns None if the file system has no locks. Closing the file unlocks it, once all processes have done so that
        were forked meanwhile.
        """
        # Not lockf: its locks belong to the process, so that they keep no thread out.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _WITHOUT_LOCKS:
                return None
            raise
        return True
