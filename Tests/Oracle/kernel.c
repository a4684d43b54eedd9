// SPDX-License-Identifier: Apache-2.0
// Does the verbs of a script on a disk of the running kernel, and prints what the kernel answers to each.
// kernel SCRIPT DIRECTORY-FOR-THE-IMAGE: on a loop device. kernel SCRIPT brd MODULE: on a RAM disk, whose module is loaded
// anew for each. Tests/Oracle/README.md has the verbs.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int image = -1, control, events, handles[256];
static char disk[32];
// The module of RAM disks; none: loop devices are asked.
static const char *module;

static void die(const char *what) {
    fprintf(stderr, "oracle: %s: %s\n", what, strerror(errno));
    exit(1);
}

// "d" is the disk, "d3" its third partition.
static const char *node(const char *name) {
    static char path[96];
    snprintf(path, sizeof path, name[1] ? "/dev/%sp%s" : "/dev/%s", disk, name + 1);
    return path;
}

static void answer(long result) {
    if (result < 0) printf("%s\n", strerrorname_np(errno));
    else printf("ok\n");
}

// An event as ACTION DEVICE KEY,KEY...: values that differ from run to run are left out.
static void event(char *text, long count) {
    char action[16] = "", device[64] = "", keys[512] = "";
    for (char *line = text; line < text + count; line += strlen(line) + 1) {
        char *equals = strchr(line, '=');
        if (!equals) continue;
        *equals = 0;
        const char *value = equals + 1;
        if (!strcmp(line, "ACTION")) snprintf(action, sizeof action, "%s", value);
        if (!strcmp(line, "SUBSYSTEM") && strcmp(value, "block")) return;
        if (!strcmp(line, "DEVNAME")) snprintf(device, sizeof device, "%s", value);
        size_t used = strlen(keys);
        int isTelling = !strcmp(line, "PARTN") || !strcmp(line, "RESIZE") || !strcmp(line, "DISK_RO");
        snprintf(keys + used, sizeof keys - used, isTelling ? "%s%s=%s" : "%s%s", used ? "," : "", line, value);
    }
    if (strncmp(device, disk, strlen(disk))) return;
    const char *rest = device + strlen(disk);
    printf("  %s d%s %s\n", action, *rest == 'p' ? rest + 1 : "", keys);
}

static void tellEvents(void) {
    static char text[65536];
    struct pollfd wanted = {events, POLLIN, 0};
    while (poll(&wanted, 1, 0) > 0) {
        long count = recv(events, text, sizeof text - 1, 0);
        if (count <= 0) return;
        text[count] = 0;
        event(text, count);
    }
}

static void dropEvents(void) {
    char drop[65536];
    while (recv(events, drop, sizeof drop, MSG_DONTWAIT) > 0) {}
}

// A RAM disk has its size for life: each has a module of its own.
static void makeRamDisk(unsigned long sectors) {
    static int isLoaded;
    for (int handle = 0; handle < 256; handle++) {
        if (handles[handle]) close(handles[handle]);
        handles[handle] = 0;
    }
    if (isLoaded && syscall(SYS_delete_module, "brd", 0)) die("the module of the last RAM disk");
    int fd = open(module, O_RDONLY | O_CLOEXEC);
    char parameters[64];
    snprintf(parameters, sizeof parameters, "rd_nr=1 max_part=16 rd_size=%lu", sectors / 2);
    if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0)) die(module);
    close(fd);
    isLoaded = 1;
    strcpy(disk, "ram0");
    dropEvents();
}

// A loop device of the machine is given back.
static void endDisk(void) {
    if (image < 0) return;
    int fd = open(node("d"), O_RDONLY);
    ioctl(fd, LOOP_CLR_FD, 0);
    close(fd);
    close(image);
    image = -1;
}

static void makeDisk(const char *directory, unsigned long sectors) {
    if (module) {
        makeRamDisk(sectors);
        return;
    }
    endDisk();
    int index = ioctl(control, LOOP_CTL_GET_FREE);
    if (index < 0) die("no free loop device");
    snprintf(disk, sizeof disk, "loop%d", index);
    char path[512];
    snprintf(path, sizeof path, "%s/image", directory);
    image = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (image < 0 || ftruncate(image, sectors * 512)) die(path);
    struct loop_config config = {.fd = image, .info = {.lo_flags = LO_FLAGS_PARTSCAN}};
    int fd = open(node("d"), O_RDWR);
    if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config)) die("the loop device");
    close(fd);
    // What its making told is not of interest.
    dropEvents();
}

static void openIt(const char *handle, const char *mode, const char *name) {
    int flags = strchr(mode, 'r') && strchr(mode, 'w') ? O_RDWR : strchr(mode, 'w') ? O_WRONLY : O_RDONLY;
    if (strchr(mode, 'x')) flags |= O_EXCL;
    int fd = open(node(name), flags);
    if (fd >= 0) handles[(unsigned char)*handle] = fd;
    answer(fd);
}

static void change(int op, int number, unsigned long start, unsigned long count) {
    int fd = open(node("d"), O_RDONLY);
    struct blkpg_partition part = {.start = start * 512, .length = count * 512, .pno = number};
    struct blkpg_ioctl_arg arg = {.op = op, .datalen = sizeof part, .data = &part};
    long result = ioctl(fd, BLKPG, &arg);
    int error = errno;
    close(fd);
    errno = error;
    answer(result);
}

static void parts(void) {
    int any = 0;
    for (int number = 1; number < 256; number++) {
        char path[128];
        unsigned long start, count;
        snprintf(path, sizeof path, "/sys/block/%s/%sp%d/start", disk, disk, number);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%lu", &start) != 1) start = 0;
        fclose(file);
        strcpy(strrchr(path, '/'), "/size");
        file = fopen(path, "r");
        if (!file || fscanf(file, "%lu", &count) != 1) count = 0;
        if (file) fclose(file);
        printf("%s%d:%lu+%lu", any++ ? " " : "", number, start, count);
    }
    printf(any ? "\n" : "none\n");
}

// NUMBER:START+COUNT[:TYPE] ... as a DOS table in the first sector.
static void table(int fd, char *list) {
    uint8_t sector[512] = {0};
    sector[510] = 0x55;
    sector[511] = 0xaa;
    for (char *entry = strtok(list, " "); entry; entry = strtok(NULL, " ")) {
        unsigned number, start, count, type = 0x83;
        if (sscanf(entry, "%u:%u+%u:%x", &number, &start, &count, &type) < 3) die("a table entry");
        uint8_t *at = sector + 446 + (number - 1) * 16;
        at[4] = type;
        memcpy(at + 8, &start, 4);
        memcpy(at + 12, &count, 4);
    }
    answer(pwrite(fd, sector, 512, 0) == 512 && !fsync(fd) ? 0 : -1);
}

static void moved(long result) {
    if (result < 0) printf("%s\n", strerrorname_np(errno));
    else printf("%ld\n", result / 512);
}

static void verb(char *line, const char *directory) {
    char word[16] = "", a[16] = "", b[16] = "", c[16] = "";
    unsigned long x = 0, y = 0;
    int used = 0;
    sscanf(line, "%15s%n", word, &used);
    char *rest = line + used;
    static uint8_t data[1 << 20];
    if (!strcmp(word, "disk") && sscanf(rest, "%lu", &x) == 1) {
        makeDisk(directory, x);
        printf("ok\n");
    } else if (!strcmp(word, "open") && sscanf(rest, "%15s%15s%15s", a, b, c) == 3) {
        openIt(a, b, c);
    } else if (!strcmp(word, "close") && sscanf(rest, "%15s", a) == 1) {
        int fd = handles[(unsigned char)*a];
        handles[(unsigned char)*a] = 0;
        answer(close(fd));
    } else if (!strcmp(word, "size") && sscanf(rest, "%15s", a) == 1) {
        uint64_t bytes;
        if (ioctl(handles[(unsigned char)*a], BLKGETSIZE64, &bytes) < 0) answer(-1);
        else printf("%lu\n", (unsigned long)(bytes / 512));
    } else if (!strcmp(word, "add") && sscanf(rest, "%15s%lu%lu", a, &x, &y) == 3) {
        change(BLKPG_ADD_PARTITION, atoi(a), x, y);
    } else if (!strcmp(word, "del") && sscanf(rest, "%15s", a) == 1) {
        change(BLKPG_DEL_PARTITION, atoi(a), 0, 0);
    } else if (!strcmp(word, "resize") && sscanf(rest, "%15s%lu%lu", a, &x, &y) == 3) {
        change(BLKPG_RESIZE_PARTITION, atoi(a), x, y);
    } else if (!strcmp(word, "parts")) {
        parts();
    } else if (!strcmp(word, "table") && sscanf(rest, "%15s%n", a, &used) == 1) {
        table(handles[(unsigned char)*a], rest + used);
    } else if (!strcmp(word, "reread") && sscanf(rest, "%15s", a) == 1) {
        answer(ioctl(handles[(unsigned char)*a], BLKRRPART));
    } else if (!strcmp(word, "read") && sscanf(rest, "%15s%lu%lu", a, &x, &y) == 3) {
        moved(pread(handles[(unsigned char)*a], data, y * 512, x * 512));
    } else if (!strcmp(word, "write") && sscanf(rest, "%15s%lu%lu", a, &x, &y) == 3) {
        moved(pwrite(handles[(unsigned char)*a], data, y * 512, x * 512));
    } else if (!strcmp(word, "flush") && sscanf(rest, "%15s", a) == 1) {
        answer(fsync(handles[(unsigned char)*a]));
    } else if ((!strcmp(word, "discard") || !strcmp(word, "zero")) && sscanf(rest, "%15s%lu%lu", a, &x, &y) == 3) {
        uint64_t range[2] = {x * 512, y * 512};
        answer(ioctl(handles[(unsigned char)*a], *word == 'd' ? BLKDISCARD : BLKZEROOUT, range));
    } else if (!strcmp(word, "capacity") && module) {
        // Nobody can ask a RAM disk for another size.
        printf("EOPNOTSUPP\n");
    } else if (!strcmp(word, "capacity") && sscanf(rest, "%lu", &x) == 1) {
        int fd = open(node("d"), O_RDWR);
        long result = ftruncate(image, x * 512) ? -1 : ioctl(fd, LOOP_SET_CAPACITY, 0);
        int error = errno;
        close(fd);
        errno = error;
        answer(result);
    } else if (!strcmp(word, "ro") && sscanf(rest, "%15s%lu", a, &x) == 2) {
        int flag = x;
        answer(ioctl(handles[(unsigned char)*a], BLKROSET, &flag));
    } else {
        printf("?\n");
    }
}

int main(int count, char **arguments) {
    if (count != 3 && count != 4) return 64;
    if (count == 4) module = arguments[3];
    FILE *script = fopen(arguments[1], "r");
    control = open("/dev/loop-control", O_RDWR);
    if (!script || (control < 0 && !module)) die("script or loop control");
    events = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int room = 1 << 20;
    setsockopt(events, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (events < 0 || bind(events, (struct sockaddr *)&address, sizeof address)) die("the event socket");
    char line[512];
    while (fgets(line, sizeof line, script)) {
        line[strcspn(line, "\n")] = 0;
        if (!*line || *line == '#') continue;
        printf("%s\n", line);
        // The label, up to the colon, is for people and for the list of differences.
        char *rest = strchr(line, ':');
        if (!rest) die("a line without a label");
        printf("= ");
        verb(rest + 1, arguments[2]);
        tellEvents();
    }
    printf("end\n");
    for (int handle = 0; handle < 256; handle++) {
        if (handles[handle]) close(handles[handle]);
    }
    endDisk();
    return 0;
}
