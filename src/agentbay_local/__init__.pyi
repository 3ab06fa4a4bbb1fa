# The list of exports. The module imports each name on first use; see agentbay_async/_lazy.py.

from agentbay_local.manual_clock import ManualClock as ManualClock
from agentbay_local.sandbox.base import Isolation as Isolation
from agentbay_local.sandbox.base import Limits as Limits
from agentbay_local.seeding import Seeded as Seeded
from agentbay_local.service import LocalService as LocalService
from agentbay_local.testing.fault_actions import Delay as Delay
from agentbay_local.testing.fault_actions import Drop as Drop
from agentbay_local.testing.fault_actions import Effect as Effect
from agentbay_local.testing.fault_actions import ExpireToken as ExpireToken
from agentbay_local.testing.fault_actions import Fail as Fail
from agentbay_local.testing.fault_actions import FailTask as FailTask
from agentbay_local.testing.fault_actions import Garbage as Garbage
from agentbay_local.testing.fault_actions import Lag as Lag
from agentbay_local.testing.fault_actions import Repeat as Repeat
from agentbay_local.testing.fault_actions import Slow as Slow
from agentbay_local.testing.fault_actions import StickTask as StickTask
from agentbay_local.testing.fault_actions import Throttle as Throttle
from agentbay_local.testing.fault_actions import Truncate as Truncate
from agentbay_local.testing.faults import Call as Call
from agentbay_local.testing.faults import Fault as Fault
from agentbay_local.testing.faults import Faults as Faults
from agentbay_local.testing.journal import Entry as Entry
from agentbay_local.testing.journal import Journal as Journal
from agentbay_local.testing.quotas import Quotas as Quotas
from agentbay_local.testing.transitions import Transitions as Transitions
