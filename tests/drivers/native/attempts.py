"""What root inside tries, as a script that runs there."""

from __future__ import annotations

# Each attempt returns normally only if it was allowed. None would do lasting harm if it were: what is opened is not
# written to, and what is set is set to its present value.
ATTEMPTS = r"""
import ctypes, errno, json, os, socket, stat, subprocess, sys, time
given = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
attempts = {}

def attempt(function):
    attempts[function.__name__] = function

def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def command(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise OSError(0, f"{done.returncode}: {done.stderr.strip()}")

def opens(path, flags=os.O_RDONLY):
    os.close(os.open(path, flags))

def reads_device(where, kind, device):
    path = f"{where}/harness-device"
    os.mknod(path, kind | 0o600, os.makedev(*device))
    try:
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 16)
    finally:
        os.unlink(path)

for place in ("/tmp", "/dev", "/dev/shm", "/run", "/root", "/var/lib", "/usr"):
    for name, kind, device in (("disk", stat.S_IFBLK, given["disk"]), ("memory", stat.S_IFCHR, [1, 1]),
                               ("kernel_log", stat.S_IFCHR, [1, 11])):
        attempts[f"read_{name}_by_a_node_in_{place}"] = (
            lambda place=place, kind=kind, device=device: reads_device(place, kind, device))

for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/sys/kernel/hostname",
             "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/kernel/mm/ksm/run", "/sys/power/state",
             "/sys/kernel/uevent_helper"):
    attempts[f"open_{path}_to_write"] = lambda path=path: opens(path, os.O_WRONLY)
for path in ("/proc/kcore", "/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/loop0", "/dev/loop-control",
             "/dev/vsock", "/dev/net/tun"):
    def there(path=path):
        fd = os.open(path, os.O_RDONLY)
        if not os.read(fd, 1):
            raise OSError(0, "it is empty")
    attempts[f"read_{path}"] = there

@attempt
def sysctl():
    command("sysctl", "-w", "vm.swappiness=" + open("/proc/sys/vm/swappiness").read().strip())

@attempt
def set_the_clock():
    command("date", "-s", "@%d" % time.time())

@attempt
def set_the_clock_by_system_call():
    call(libc.settimeofday((ctypes.c_long * 2)(int(time.time()), 0), None))

@attempt
def load_a_module():
    call(libc.syscall(given["init_module"], b"", 0, b""))

@attempt
def host_name():
    command("hostname", "harness-was-here")

@attempt
def firewall():
    command("iptables", "-A", "INPUT", "-j", "ACCEPT")

@attempt
def network_device():
    command("ip", "link", "set", "lo", "mtu", "1400")

@attempt
def mount_anything():
    call(libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None))

@attempt
def remount_writable():
    call(libc.mount(b"none", b"/proc/sys", None, 0x20 | 0x1000, None))

@attempt
def uncover_what_is_masked():
    call(libc.umount2(b"/proc/sys", 2))

@attempt
def mount_name_space():
    call(libc.unshare(0x00020000))

@attempt
def user_name_space():
    call(libc.unshare(0x10000000))

@attempt
def new_mount_interface():
    call(libc.syscall(428, -100, b"/", 1))

@attempt
def kernel_log():
    call(libc.klogctl(3, ctypes.create_string_buffer(64), 64))

@attempt
def keyring():
    call(libc.syscall(given["keyctl"], 0, -4, 0))

@attempt
def hypervisor():
    socket.socket(40, socket.SOCK_STREAM).close()

@attempt
def reboot():
    call(libc.reboot(0x89ABCDEF))  # turns Ctrl-Alt-Del into a plain signal: harmless

@attempt
def bpf():
    call(libc.syscall(given["bpf"], 0, ctypes.create_string_buffer(64), 64))

@attempt
def process_of_the_host():
    os.kill(given["canary"], 0)

@attempt
def trace_a_process_of_the_host():
    call(libc.ptrace(0x4206, given["canary"], None, None))

@attempt
def executable_of_pid_1():
    os.readlink("/proc/1/exe")

@attempt
def descriptors_of_pid_1():
    os.readlink("/proc/1/fd/0")

@attempt
def trace_pid_1():
    call(libc.ptrace(0x4206, 1, None, None))

@attempt
def abstract_socket():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + given["abstract"])

@attempt
def socket_in_the_file_system():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(given["socket"])

@attempt
def fifo_in_the_file_system():
    opens(given["fifo"], os.O_WRONLY | os.O_NONBLOCK)

@attempt
def docker():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("/run/docker.sock")

@attempt
def loopback_of_the_host():
    socket.create_connection(("127.0.0.1", given["port"]), 2).close()

@attempt
def home():
    opens(given["home"] + "/.ssh/id_ed25519")

@attempt
def credentials_named_by_a_variable():
    opens(given["credentials"])

@attempt
def control_groups():
    if not any("cgroup.procs" in names for _, _, names in os.walk("/sys/fs/cgroup")):
        raise OSError(0, "there are none")
    raise OSError(0, "only its own") if given["systemd"] else AssertionError

@attempt
def by_handle():
    call(libc.syscall(given["open_by_handle_at"], -100, ctypes.create_string_buffer(64), 0))

@attempt
def out_of_the_root_by_chroot():
    os.makedirs("/tmp/jail", exist_ok=True)
    root = os.open("/", os.O_RDONLY)
    child = os.fork()
    if child == 0:
        os.chroot("/tmp/jail")
        os.fchdir(root)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        os._exit(0 if os.path.exists(given["marker"]) else 1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(0, "the marker is not in sight")

results = {}
for name, function in attempts.items():
    try:
        function()
        results[name] = "ALLOWED"
    except FileNotFoundError as error:
        results[name] = f"missing: {error}"
    except OSError as error:
        results[name] = f"refused: {error}"
print(json.dumps(results))
"""

NUMBERS = {  # x86_64, aarch64
    "init_module": (175, 105),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "open_by_handle_at": (304, 265),
}
