/* A Modbus device on libmodbus for the tests, over TCP (several clients at once) or as unit 1 of a serial bus (RTU):
 * a log of coil changes with CLOCK_MONOTONIC times, and faults on command.
 *
 *   modbus_server PORT          (0 = any free port)
 *   modbus_server /dev/...      (a serial port at 9600 8N1)
 *
 * stdin, one command a line, each answered by "ok REQUESTS CLIENTS":
 *   input ADDRESS LEVEL         set a discrete input
 *   coil ADDRESS LEVEL          set a coil as another master would
 *   register ADDRESS VALUE      set a holding register, keep ADDRESS: refuse to change it from now on
 *   keep ADDRESS
 *   watch ADDRESS               the device's watchdog: a holding register with so many ms, after which all coils fall
 *                               when none is written; 0 turns it off
 *   mirror                      from now on a coil that is written sets the discrete input of the same number
 *   misbehave KIND COUNT MS     the next COUNT requests (0 = all) go wrong; KIND is one of late, wrong_value,
 *                               wrong_address, wrong_unit, wrong_transaction (TCP), bad_checksum (RTU), exception,
 *                               silent, close (TCP), garbage, twice, dribble, stuck (echoes a write without doing
 *                               it), unheard (neither does nor answers it); MS delays late, and each byte of dribble
 *   normal                      behave again
 *   drop                        close all connections now
 *   count                       only answer
 *   read ADDRESS                answers "ok LEVEL 0" instead, the level of a coil
 *   held ADDRESS                answers "ok VALUE 0" instead, the value of a holding register
 * stdout: "listening PORT", "coil NS ADDRESS LEVEL" for every change, and the answers. Ends with stdin. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ADDRESSES 1000
#define CLIENTS 32
#define WAITING 256
#define TCP_HEADER 7 /* MBAP: transaction 2, protocol 2, length 2, unit 1 */
#define RTU_HEADER 1 /* unit */

struct waiting {
    int fd;
    int64_t due_ns;
    int length;
    uint8_t bytes[MODBUS_TCP_MAX_ADU_LENGTH];
};

static modbus_t *context;
static modbus_mapping_t *map;
static int rtu, header, mirror, kept = -1, watchdog = -1;
static int64_t written_ns;
static int clients[CLIENTS], client_count;
static struct waiting queue[WAITING];
static int queued;
static char fault[32] = "normal";
static int fault_count;
static int64_t fault_ns;
static unsigned long requests;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void set_coil(int address, int level) {
    if (address < 0 || address >= ADDRESSES || map->tab_bits[address] == level)
        return;
    printf("coil %lld %d %d\n", (long long)now_ns(), address, level);
    map->tab_bits[address] = level;
    if (mirror)
        map->tab_input_bits[address] = level;
}

static uint16_t checksum(const uint8_t *bytes, int length) {
    uint16_t sum = 0xFFFF;
    for (int i = 0; i < length; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ 0xA001 : sum >> 1;
    }
    return sum;
}

static void transmit(int fd, const uint8_t *bytes, int length) {
    if (rtu ? write(fd, bytes, length) < 0 : send(fd, bytes, length, MSG_NOSIGNAL) < 0)
        return; /* the other end is gone: its test sees that */
}

static void forget(int fd) {
    for (int i = 0; i < client_count; i++)
        if (clients[i] == fd)
            clients[i--] = clients[--client_count];
    for (int i = 0; i < queued; i++)
        if (queue[i].fd == fd)
            queue[i--] = queue[--queued];
    close(fd);
}

static void send_later(int fd, const uint8_t *bytes, int length, int64_t due_ns) {
    if (queued == WAITING)
        return;
    struct waiting *item = &queue[queued++];
    item->fd = fd;
    item->due_ns = due_ns;
    item->length = length;
    memcpy(item->bytes, bytes, length);
}

/* The right reply to function 1 to 6, for a fault to spoil; 0 for any other function or a longer one. */
static int right_reply(const uint8_t *query, int length, uint8_t *reply) {
    const uint8_t *asked = query + header;
    int function = asked[0], address = asked[1] << 8 | asked[2], count = asked[3] << 8 | asked[4];
    uint8_t *data = reply + header + 2;
    memcpy(reply, query, length);
    if (function == 5 || function == 6) {
        if (function == 5 && strcmp(fault, "stuck"))
            set_coil(address, asked[3] == 0xFF);
        if (function == 6 && strcmp(fault, "stuck"))
            map->tab_registers[address] = count;
        return length;
    }
    if (function > 4 || count < 1 || count > 8)
        return 0;
    int size = function > 2 ? 2 * count : 1;
    memset(data, 0, size);
    for (int i = 0; i < count; i++)
        if (function > 2) {
            data[2 * i] = map->tab_registers[address + i] >> 8;
            data[2 * i + 1] = map->tab_registers[address + i] & 0xFF;
        } else
            data[0] |= (function == 1 ? map->tab_bits : map->tab_input_bits)[address + i] << i;
    reply[header + 1] = size;
    if (!rtu)
        reply[5] = 3 + size; /* unit, function, byte count, data */
    return header + 2 + size + 2 * rtu;
}

static void seal(uint8_t *reply, int size) {
    if (!rtu)
        return;
    uint16_t sum = checksum(reply, size - 2);
    reply[size - 2] = sum & 0xFF;
    reply[size - 1] = sum >> 8;
}

static void misbehave(int fd, const uint8_t *query, int length) {
    uint8_t reply[MODBUS_TCP_MAX_ADU_LENGTH];
    static const uint8_t noise[] = "\x00\x00HTTP/1.1 400 Bad Request\r\n\r\n";
    if (!strcmp(fault, "unheard"))
        return;
    if (!strcmp(fault, "close")) {
        forget(fd);
        return;
    }
    if (!strcmp(fault, "exception")) {
        modbus_reply_exception(context, query, MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY);
        return;
    }
    if (!strcmp(fault, "garbage")) {
        transmit(fd, noise, sizeof noise - 1);
        return;
    }
    int size = right_reply(query, length, reply);
    if (!strcmp(fault, "silent") || !size)
        return;
    if (!strcmp(fault, "wrong_value"))
        reply[header + (query[header] < 5 ? 2 : 3)] ^= query[header] == 5 ? 0xFF : 0x01;
    if (!strcmp(fault, "wrong_address"))
        reply[header + 2] ^= 0x01;
    if (!strcmp(fault, "wrong_unit"))
        reply[header - 1] ^= 0x03;
    if (!strcmp(fault, "wrong_transaction"))
        reply[1] ^= 0x01;
    seal(reply, size);
    if (!strcmp(fault, "bad_checksum"))
        reply[size - 1] ^= 0x01;
    if (!strcmp(fault, "late")) {
        send_later(fd, reply, size, now_ns() + fault_ns);
        return;
    }
    if (!strcmp(fault, "dribble")) {
        for (int i = 0; i < size; i++)
            send_later(fd, reply + i, 1, now_ns() + (i + 1) * fault_ns);
        return;
    }
    transmit(fd, reply, size);
    if (!strcmp(fault, "twice"))
        transmit(fd, reply, size);
}

static void serve(int fd) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    if (!rtu)
        modbus_set_socket(context, fd);
    int length = modbus_receive(context, query);
    if (length < 0 && rtu) {
        if (errno != EMBBADCRC && errno != ETIMEDOUT && errno != EMBBADDATA)
            exit(0); /* unplugged */
        modbus_flush(context);
    } else if (length < 0)
        forget(fd);
    if (length <= 0)
        return;
    requests++;
    if (strcmp(fault, "normal")) {
        misbehave(fd, query, length);
        if (fault_count > 0 && --fault_count == 0)
            strcpy(fault, "normal");
        return;
    }
    int address = query[header + 1] << 8 | query[header + 2];
    if (query[header] == 5) {
        set_coil(address, query[header + 3] == 0xFF);
        written_ns = now_ns();
    }
    int before = kept < 0 ? 0 : map->tab_registers[kept];
    modbus_reply(context, query, length, map);
    if (kept >= 0)
        map->tab_registers[kept] = before;
}

static void obey(const char *line) {
    int address, level, ms;
    if (sscanf(line, "read %d", &address) == 1 && address >= 0 && address < ADDRESSES) {
        printf("ok %d 0\n", map->tab_bits[address]);
        return;
    }
    if (sscanf(line, "held %d", &address) == 1 && address >= 0 && address < ADDRESSES) {
        printf("ok %d 0\n", map->tab_registers[address]);
        return;
    }
    if (sscanf(line, "input %d %d", &address, &level) == 2 && address >= 0 && address < ADDRESSES)
        map->tab_input_bits[address] = level;
    else if (sscanf(line, "coil %d %d", &address, &level) == 2)
        set_coil(address, level);
    else if (sscanf(line, "register %d %d", &address, &level) == 2 && address >= 0 && address < ADDRESSES)
        map->tab_registers[address] = level;
    else if (sscanf(line, "keep %d", &address) == 1 && address < ADDRESSES)
        kept = address;
    else if (sscanf(line, "watch %d", &address) == 1 && address < ADDRESSES)
        watchdog = address;
    else if (!strcmp(line, "mirror"))
        mirror = 1;
    else if (sscanf(line, "misbehave %31s %d %d", fault, &fault_count, &ms) == 3)
        fault_ns = ms * 1000000LL;
    else if (!strcmp(line, "normal"))
        strcpy(fault, "normal");
    else if (!strcmp(line, "drop"))
        while (client_count)
            forget(clients[0]);
    printf("ok %lu %d\n", requests, client_count);
}

/* Complete lines from stdin, read without stdio so that select sees what is left. */
static void listen_to_stdin(void) {
    static char text[1024];
    static int held;
    int got = read(0, text + held, sizeof text - 1 - held);
    if (got <= 0)
        exit(0);
    held += got;
    char *end;
    while ((end = memchr(text, '\n', held)) != NULL) {
        *end = 0;
        obey(text);
        held -= end + 1 - text;
        memmove(text, end + 1, held);
    }
}

static void watch(void) {
    if (watchdog < 0 || !map->tab_registers[watchdog])
        return;
    if (now_ns() - written_ns > map->tab_registers[watchdog] * 1000000LL)
        for (int i = 0; i < ADDRESSES; i++)
            set_coil(i, 0);
}

static void send_due(void) {
    int64_t now = now_ns();
    for (int i = 0; i < queued; i++)
        if (queue[i].due_ns <= now) {
            transmit(queue[i].fd, queue[i].bytes, queue[i].length);
            queue[i--] = queue[--queued];
        }
}

/* `listener` is -1 on a serial bus, whose one client is the port itself. */
static void loop(int listener) {
    for (;;) {
        struct timeval wait = {0, queued ? 500 : watchdog < 0 ? 100000 : 2000};
        fd_set ready;
        int highest = listener;
        FD_ZERO(&ready);
        FD_SET(0, &ready);
        if (listener >= 0)
            FD_SET(listener, &ready);
        for (int i = 0; i < client_count; i++) {
            FD_SET(clients[i], &ready);
            if (clients[i] > highest)
                highest = clients[i];
        }
        if (select(highest + 1, &ready, NULL, NULL, &wait) < 0)
            exit(1);
        send_due();
        watch();
        if (FD_ISSET(0, &ready))
            listen_to_stdin();
        for (int i = client_count - 1; i >= 0; i--)
            if (i < client_count && FD_ISSET(clients[i], &ready))
                serve(clients[i]);
        if (listener >= 0 && FD_ISSET(listener, &ready) && client_count < CLIENTS) {
            int fd = listener;
            if (modbus_tcp_accept(context, &fd) >= 0)
                clients[client_count++] = modbus_get_socket(context);
        }
    }
}

static int listen_to_tcp(int port) {
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    context = modbus_new_tcp("127.0.0.1", port);
    int listener = context == NULL ? -1 : modbus_tcp_listen(context, CLIENTS);
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&bound, &size))
        return -1;
    printf("listening %d\n", ntohs(bound.sin_port));
    return listener;
}

static int join_bus(const char *path) {
    context = modbus_new_rtu(path, 9600, 'N', 8, 1);
    if (context == NULL || modbus_set_slave(context, 1) || modbus_connect(context))
        return -1;
    clients[client_count++] = modbus_get_socket(context);
    printf("listening 0\n");
    return 0;
}

int main(int count, char **arguments) {
    const char *where = count > 1 ? arguments[1] : "0";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    rtu = where[0] == '/';
    header = rtu ? RTU_HEADER : TCP_HEADER;
    map = modbus_mapping_new(ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES);
    int listener = rtu ? join_bus(where) : listen_to_tcp(atoi(where));
    if (map == NULL || listener < 0) {
        fprintf(stderr, "cannot listen at %s: %s\n", where, modbus_strerror(errno));
        return 1;
    }
    loop(rtu ? -1 : listener);
}
