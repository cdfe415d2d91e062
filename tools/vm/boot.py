#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Boot a kernel of the Debian root in QEMU, run a command there, and judge the
kernel's log. Runs inside the root; tools/vm/run is the way in."""

import argparse
import fcntl
import glob
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

import frozen

PROJECT = os.getcwd()
BUILD = os.path.join(PROJECT, "build")
FAILED = 125		# a status of ours, not of the command
KVM_TIMEOUT = 40	# seconds; a guest that KVM can run needs five
# Seconds without a word from a guest that boots, which else has something to say
# several times a second
SILENCE = 120
STUCK = b"pinfold: the guest said nothing more while it booted\n"
# The same of one whose first process runs, and says so once a minute
SILENCE_RUNNING = 300
ANSWER = 20		# seconds in which it answers when it still can
FROZEN = b"pinfold: the guest says nothing more\n"
LATE = b"pinfold: the guest did not end in time\n"
HALTED = b"pinfold: all of its CPUs wait for an interrupt\n"
# Where the newest kernels come from, only one is kept, and soon a newer one: 7.2
# is another name for whatever there is of 7.x.
KERNELS = {"6.1": "6.1", "6.12": "6.12", "7.x": "7", "7.2": "7"}
# Those that are built here; in one, ours is built in.
OWN_KERNELS = ("debug", "intree", "mainline", "series", "kcsan")
SERIES = [f"series-{int(os.path.basename(patch)[:4])}"
          for patch in sorted(glob.glob("series/[0-9][0-9][0-9][0-9]-*.patch"))[1:]]
# Kernels of another architecture come with a root of their own.
ARM64_KERNELS = ("arm64", "arm64-16k")
MODULES = ("mm/memfd_pin.ko", "mm/mempinfd.ko", "mm/pin_test.ko",
           "drivers/dma-buf/udmabuf_pinfold.ko")

# What the kernel says when something is wrong with it. Not all of that comes with a
# call trace, and what does, may have none of the words.
with open(os.path.join(PROJECT, "igt-tests/complaints"), "rb") as lines:
    REPORTS = re.compile(b"|".join(
        [line.strip() for line in lines if not line.startswith(b"#")] +
        [b"Call Trace:"]))
# Its out-of-memory report has a call trace, but is about programs.
OOM = re.compile(rb"invoked oom-killer")
# Taint flags of warnings (W), oopses (D), bad pages (B), lockups (L) and
# machine checks (M).
BAD_TAINTS = 1 << 9 | 1 << 7 | 1 << 5 | 1 << 14 | 1 << 4

# A guest that hangs is to say so and die. The limits are far above what an
# emulated guest needs on a busy machine.
KERNEL_ARGS = [
    "ignore_loglevel", "printk.devkmsg=on", "oops=panic",
    # igt-tests/run reads what a test has given rise to when it has ended.
    "log_buf_len=1M",
    "watchdog_thresh=60", "softlockup_panic=1", "sysrq_always_enabled",
    "sysctl.kernel.hung_task_timeout_secs=300",
    "sysctl.kernel.hung_task_panic=1",
    "rcupdate.rcu_cpu_stall_timeout=120",
    "sysctl.kernel.panic_on_rcu_stall=1",
    # Emulating, QEMU keeps what it has translated of a page until it sees the guest
    # write there. It does not see virtiofsd write, so without this a program can run
    # code of another one, whose page it got.
    "init_on_alloc=1",
]


@dataclass
class Kernel:
    """What to boot: release, image, and the root that the guest sees. Programs for
    it are built in a folder of their own unless they can run here."""
    release: str
    image: str
    root: str = "/"
    arch: str = "x86_64"

    @property
    def programs(self):
        return "build" if self.arch == "x86_64" else "build/arm64"

    def in_guest(self, path):
        return "/" + os.path.relpath(path, self.root)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(FAILED, f"tools/vm/run: {message}\n")


def say(message):
    print(f"tools/vm/run: {message}", file=sys.stderr, flush=True)


def die(message):
    say(message)
    sys.exit(FAILED)


def parse_arguments():
    parser = Parser(
        prog="tools/vm/run", allow_abbrev=False,
        usage="%(prog)s [OPTION...] -- COMMAND [ARG...]",
        description="Boot a kernel in a VM, load our modules so that "
        "/dev/udmabuf is ours, and run COMMAND there as root, in the "
        "project's folder. Exits with COMMAND's status, or with 125 and the "
        "kernel log on standard error when the guest did not come up or its "
        "kernel complained.")
    parser.add_argument("--kernel", default="6.12", metavar="VERSION",
                        choices=[*KERNELS, *OWN_KERNELS, *SERIES, *ARM64_KERNELS],
                        help="6.1, 6.12 (default), 7.x (or 7.2, which is the "
                        "same); debug: a 6.12 that checks all that it does; "
                        "intree: the newest, with ours built in; mainline and "
                        "series: the same without ours, and with the patches of "
                        "series/ (series-N: with the first N); "
                        "kcsan: the newest, which looks for data races; "
                        "arm64 or arm64-16k: 6.12 of that architecture, with "
                        "pages of 4 or 16 KiB")
    parser.add_argument("--stock", action="store_true",
                        help="leave the kernel as it came: none of our "
                        "modules (intree has them built in)")
    parser.add_argument("--icount", action="store_true",
                        help="one CPU; guest nanoseconds are guest "
                        "instructions")
    parser.add_argument("--cpus", type=int, default=2, metavar="N",
                        help="default: 2")
    parser.add_argument("--memory", default="2G", metavar="SIZE",
                        help="default: 2G")
    parser.add_argument("--append", action="append", default=[],
                        metavar="ARGS", help="more kernel arguments")
    parser.add_argument("--qemu", default="", metavar="ARGS",
                        help="more arguments of QEMU, such as devices")
    parser.add_argument("--timeout", type=int, default=2400,
                        metavar="SECONDS",
                        help="end a guest that takes longer (default: 2400)")
    parser.add_argument("--start-over", action="store_true",
                        help="when QEMU lets a guest freeze, run COMMAND once more, "
                        "though some of its output is already there")
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:split])
    options.command = arguments[split + 1:]
    if not options.command:
        parser.error("there is no COMMAND after --")
    return options


def folder_made_by(program, what):
    made = subprocess.run(program, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True)
    if made.returncode:
        die(f"there is no {what}")
    return made.stdout.strip()


def bind(path, at):
    """Mounts are ours alone, and so the guest's."""
    os.makedirs(at, exist_ok=True)
    subprocess.run(["mount", "--bind", path, at], check=True)


def own_kernel(name):
    """Its modules hide those of the other kernels."""
    folder = folder_made_by(["tools/vm/own-kernel", name], f"{name} kernel")
    bind(f"{folder}/lib/modules", "/lib/modules")
    return Kernel(os.listdir("/lib/modules")[0], f"{folder}/vmlinuz")


def arm64_kernel(flavour):
    """In a root of its own, where the project is seen at the same path. The lock keeps
    it from being replaced, as long as this process lives."""
    images = []
    while not images:
        root = folder_made_by(["tools/vm/arm64-root"], "root for arm64")
        try:
            fcntl.flock(os.open(root, os.O_RDONLY), fcntl.LOCK_SH)
        except FileNotFoundError:
            continue
        images = glob.glob(f"{root}/boot/vmlinuz-*-{flavour}")
    bind(PROJECT, root + PROJECT)
    image, = images
    release = os.path.basename(image).removeprefix("vmlinuz-")
    return Kernel(release, image, root, "aarch64")


def debian_kernel(series):
    """The newest installed kernel of a series such as 6.12."""
    prefix = f"vmlinuz-{series}."
    found = [name.removeprefix("vmlinuz-") for name in os.listdir("/boot")
             if name.startswith(prefix)]
    if not found:
        die(f"there is no {series} kernel in the Debian root")
    release = max(found, key=lambda name: [int(n) for n in
                                           re.findall(r"\d+", name)])
    return Kernel(release, f"/boot/vmlinuz-{release}")


def build_steps(kernel):
    """What makes the programs, and how make is told which modules to make."""
    examples = ["examples/wayland-zerocopy", "examples/shm-zerocopy"]
    if kernel.arch == "x86_64":
        parts = ["tools/vm", "igt-tests", "tools/bench", *examples,
                 "examples/guest-viewer", "examples/shm-import", "tools/clients",
                 "tools/fuzz"]
        return [["make", "-C", part] for part in parts], []
    folder = os.path.join(PROJECT, kernel.programs)
    pkgconfig = f"{kernel.root}/usr/lib/aarch64-linux-gnu/pkgconfig"
    cross = [f"CC=aarch64-linux-gnu-gcc --sysroot={kernel.root}",
             f"PKG_CONFIG=env PKG_CONFIG_LIBDIR={pkgconfig} "
             f"PKG_CONFIG_SYSROOT_DIR={kernel.root} pkg-config"]
    return ([["make", "-C", part, f"BUILD={folder}", "LIBIGT=compat", *cross]
             for part in ("tools/vm", "igt-tests", "tools/bench")] +
            [["make", "-C", part, f"BUILD={folder}/examples", *cross]
             for part in examples],
            ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"])


def build(kernel, stock):
    """Make what the guest loads and runs; make decides what is missing.
    Returns the paths of the modules to load, in that order."""
    steps, for_modules = build_steps(kernel)
    if not stock:
        # Of a kernel that can say which lines and edges have run, of ours it does.
        steps.insert(0, ["make", "modules", "GCOV_PROFILE=y", "KCOV_INSTRUMENT=y",
                         *for_modules,
                         f"KDIR=/lib/modules/{kernel.release}/build"])
    with open(os.path.join(BUILD, "vm/lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for step in steps:
            start = time.monotonic()
            made = subprocess.run([*step, f"-j{os.cpu_count()}"],
                                  stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            if made.returncode:
                sys.stderr.write(made.stdout)
                die(f"{shlex.join(step)} failed")
            took = time.monotonic() - start
            if took > 5:
                say(f"{shlex.join(step)} took {took:.0f} s")
    built = os.path.join(BUILD, "modules", kernel.release)
    return [] if stock else [os.path.join(built, name) for name in MODULES]


def share(tag, path):
    """QEMU options for a folder that the guest can write to."""
    path = path.replace(",", ",,")
    return ["-fsdev", f"local,id={tag},path={path},security_model=none,"
            "multidevs=remap",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag=pinfold.{tag}"]


def virtme_command(options, kernel, accel, shared):
    """virtme-run finds the initramfs's modules and puts the QEMU command line
    together. The first init= is the one that its initramfs follows."""
    kernel_args = [f"init={kernel.in_guest(shared)}/init", *KERNEL_ARGS]
    for args in options.append:
        kernel_args += shlex.split(args)
    emulated = {
        # With these two features the kernel copies and clears byte by byte, which
        # takes twice as long when each byte is emulated, and four times as long
        # when each is counted as an instruction.
        "x86_64": ["-cpu", "max,erms=off,fsrm=off"],
        # To sign pointers as the architecture says takes long to emulate. Tags of
        # memory cost nothing as long as nobody asks for some.
        "aarch64": ["-cpu", "max,pauth-impdef=on", "-machine", "mte=on"],
    }[kernel.arch]
    qemu = {
        "kvm": ["-accel", "kvm", "-cpu", "host"],
        "tcg": ["-accel", "tcg,thread=multi", *emulated],
        "icount": ["-accel", "tcg,thread=single", *emulated,
                   "-icount", "shift=0,sleep=off"],
    }[accel]
    return ["virtme-run", "--kimg", kernel.image, "--arch", kernel.arch,
            "--root", kernel.root,
            # virtme-run would take KVM wherever there is a /dev/kvm.
            "--mods", "auto", "--disable-kvm",
            "--memory", options.memory,
            "--cpus", "1" if options.icount else str(options.cpus),
            "--show-boot-console", "--script-sh", "true", "--force-initramfs",
            *[f"--kopt={arg}" for arg in kernel_args],
            "--qemu-opts", "-nodefaults", *qemu, *shlex.split(options.qemu),
            "-qmp", f"unix:{shared}/monitor,server=on,wait=off",
            *share("run", shared), *share("build", BUILD)]


def start_guest(command, temporary):
    """Start it such that it and all its children die with us, however we end:
    the last one here is the first process of its own PID namespace."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL",
                             "unshare", "--pid", "--fork", "--kill-child",
                             *command],
                            cwd="/", env=dict(os.environ, TMPDIR=temporary),
                            stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def copy_output(path, position, to):
    """Pass on what was added to the command's output since position."""
    try:
        with open(path, "rb") as file:
            file.seek(position)
            while chunk := file.read(1 << 16):
                position += len(chunk)
                to.write(chunk)
            to.flush()
    except FileNotFoundError:
        pass
    return position


def read_log(pipe, log, kernel):
    """Collect the log, and keep it where one can watch it grow."""
    with open(os.path.join(BUILD, f"vm/console-{kernel}.log"), "wb", 0) as file:
        for line in pipe:
            log.append(line)
            file.write(line)


def booted(log):
    """Whether the guest's first process runs: a hang after that can be ours."""
    return any(b"pinfold: started" in line for line in log)


def silence(options, log):
    """After how many seconds without a word a guest is not alive any more. When
    instructions are counted, a minute of the guest can be half an hour."""
    if not booted(log):
        return SILENCE
    return options.timeout if options.icount else SILENCE_RUNNING


def look_at(shared, log):
    """Add to the log what there is to know of a guest that is to be killed."""
    if FROZEN not in log:
        log.append(LATE)
    lines, halted = frozen.look(os.path.join(shared, "monitor"))
    time.sleep(ANSWER)
    log += [f"{line}\n".encode() for line in lines]
    if halted:
        log.append(HALTED)


def run_guest(options, kernel, modules, accel, output):
    """Run a guest to its end. Returns what it left in its status file ("" when
    it did not get that far), its log, and whether it had to be killed."""
    with tempfile.TemporaryDirectory(
            prefix="pinfold-", dir=os.path.join(kernel.root, "tmp")) as shared:
        shutil.copy(os.path.join(PROJECT, kernel.programs, "vm/init"), shared)
        with open(os.path.join(shared, "todo"), "wb") as file:
            for word in [PROJECT, kernel.programs, *modules, "",
                         *options.command]:
                file.write(os.fsencode(word) + b"\0")

        log = []
        guest = start_guest(virtme_command(options, kernel, accel, shared),
                            shared)
        reader = threading.Thread(target=read_log, daemon=True,
                                  args=(guest.stdout, log, options.kernel))
        reader.start()
        position = lines = 0
        heard = time.monotonic()
        deadline = heard + options.timeout
        try:
            while guest.poll() is None and time.monotonic() < deadline:
                try:
                    guest.wait(0.05)
                except subprocess.TimeoutExpired:
                    pass
                if len(log) != lines:
                    lines, heard = len(log), time.monotonic()
                elif time.monotonic() > heard + silence(options, log):
                    log.append(FROZEN if booted(log) else STUCK)
                    break
                position = copy_output(os.path.join(shared, "output"),
                                       position, output)
            killed = guest.poll() is None
            if killed and booted(log):
                look_at(shared, log)
        finally:
            guest.kill()
            guest.wait()
            reader.join()
        copy_output(os.path.join(shared, "output"), position, output)
        try:
            with open(os.path.join(shared, "status")) as file:
                return file.read(), log, killed
        except FileNotFoundError:
            return "", log, killed


def kvm_works(options, kernel):
    """Whether a guest was seen to run under KVM on this host kernel. A
    /dev/kvm alone says little: where the host is itself a guest, QEMU may
    abort, or hang. The answer is kept in the root."""
    if (kernel.arch != os.uname().machine or
            not os.access("/dev/kvm", os.R_OK | os.W_OK)):
        return False
    answer = f"/var/lib/pinfold-kvm-{os.uname().release}"
    if not os.path.exists(answer):
        say(f"trying KVM, for {KVM_TIMEOUT} s at most (once)")
        probe = argparse.Namespace(**vars(options))
        probe.command, probe.append, probe.qemu = ["true"], [], ""
        probe.timeout = KVM_TIMEOUT
        status, _, _ = run_guest(probe, kernel, [], "kvm", io.BytesIO())
        with open(answer, "w") as file:
            file.write("yes" if status.startswith("0 ") else "no")
        if not status:
            say("KVM cannot run the guest: emulating")
    with open(answer) as file:
        return file.read() == "yes"


def first_report(log):
    """The first line of the log with which the kernel complained."""
    out_of_memory = False
    for line in log:
        if line in (FROZEN, LATE):
            break
        if OOM.search(line):
            out_of_memory = True
        elif REPORTS.search(line):
            if not (out_of_memory and b"Call Trace:" in line):
                return line.decode(errors="replace").strip()
            out_of_memory = False
    return None


def qemu_failed_early(log):
    """Whether QEMU failed before the guest had run anything of ours. Its MSI-X
    emulation has been seen to fail an assertion, about once in a hundred boots,
    and its multi-threaded emulation to leave 6.1 waiting in the probe of the
    i8042, with nothing to do for either CPU, once in thousands, and 7.x with
    timers that did not go off on one CPU, which the other one sees."""
    report = first_report(log)
    return (not booted(log) and (not report or "rcu: INFO:" in report) and
            any(b"Assertion `" in line or line == STUCK or
                b"rcu: \tPossible timer handling issue" in line for line in log))


def qemu_failed_late(log):
    """Whether a guest froze, as in its boot, while all of its CPUs waited for an
    interrupt: seen once in some hundred hours. Its timers would have woken them."""
    return FROZEN in log and HALTED in log and not first_report(log)


def verdict(status, log, killed, timeout):
    """The command's status, and why that is not to be believed, if so."""
    report = first_report(log)
    if report:
        return FAILED, f"the guest's kernel said: {report}"
    if killed and STUCK in log:
        return FAILED, "the guest hung while it booted"
    if killed and FROZEN in log:
        return FAILED, "the guest froze"
    if killed:
        return FAILED, f"the guest did not finish within {timeout} s"
    result, taints = status.split() if status else ("failed", "0")
    if int(taints) & BAD_TAINTS:
        return FAILED, f"the guest's kernel is tainted ({taints})"
    if result == "failed":
        return FAILED, "the guest ended early: " + next(
            (line.decode(errors="replace").strip() for line in reversed(log)
             if b"pinfold: " in line), "its kernel did not come up")
    return int(result), None


def main():
    options = parse_arguments()
    if options.kernel in (*OWN_KERNELS, *SERIES):
        kernel = own_kernel(options.kernel)
    elif options.kernel in ARM64_KERNELS:
        kernel = arm64_kernel(options.kernel)
    else:
        kernel = debian_kernel(KERNELS[options.kernel])
    os.makedirs(os.path.join(BUILD, "vm"), exist_ok=True)
    modules = build(kernel, options.stock or options.kernel == "intree")
    if options.icount:
        accel = "icount"
    else:
        accel = "kvm" if kvm_works(options, kernel) else "tcg"
    for attempt in range(2):
        status, log, killed = run_guest(options, kernel, modules, accel,
                                        sys.stdout.buffer)
        if attempt or not (qemu_failed_early(log) or options.start_over and
                           qemu_failed_late(log)):
            break
        sys.stderr.buffer.writelines(log[-5:])
        say("QEMU failed: trying once more")
    code, reason = verdict(status, log, killed, options.timeout)
    if reason:
        sys.stderr.buffer.writelines(log)
        say(reason)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(FAILED)
    except (OSError, ValueError) as error:
        die(error)
