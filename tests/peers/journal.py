"""Writes audit records in the journal export format: journal.py COUNT (systemd.io/JOURNAL_EXPORT_FORMATS)."""

import sys

for n in range(int(sys.argv[1])):
    sys.stdout.write(
        f"__CURSOR=x\n__REALTIME_TIMESTAMP={1767225600000000 + n}\n__MONOTONIC_TIMESTAMP={n + 1}\n_BOOT_ID={1:032x}\n"
        f"PRIORITY=6\nMESSAGE=user {n % 997} read account {n * 7919 % 1000003}\nEVENT_OUTCOME=success\n"
        f"USER_ID=u-{n % 997:06}\nSOURCE_ADDRESS=10.1.{n % 251}.{n * 31 % 251}\nREQUEST_SEQUENCE={n}\n"
        f"TRACE_ID={(n + 1) * 0x9E3779B97F4A7C15:032x}\n\n"
    )
