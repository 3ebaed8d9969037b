# chatmail: one program that sets up and runs a chatmail relay.
#
#   make            build/chatmail
#   make deps       install what is missing to build, test and demo (apt)
#   make demo       a whole relay on loopback and two real accounts on it
#   make static     build/static/chatmail: one file that needs no libraries;
#                   ARCH=aarch64 build/static-aarch64/chatmail, by cross compiler
#   make check      all tests; SAN=1 with address and undefined sanitizers,
#                   CHATMAIL=build/static/chatmail of that program
#   make iroh-relay iroh-relay itself, for its test (cargo, many minutes)
#   make bench      throughput, latency, memory; JSON=1 for --json
#   make fuzz       every fuzz target for FUZZ_SECS seconds (clang)
#   make install    DESTDIR and PREFIX are honoured
#   make clean

CC ?= cc
PREFIX ?= /usr/local
FUZZ_SECS ?= 300
VERSION := 0.1.0

# of the static program
MACHINE := $(shell uname -m)
ARCH ?= $(MACHINE)
override ARCH := $(patsubst arm64,aarch64,$(patsubst amd64,x86_64,$(ARCH)))
STATIC_BUILD := build/static$(if $(filter-out $(MACHINE),$(ARCH)),-$(ARCH))

ifdef STATIC
# what the libraries are built with is in src/static/libs; they are found by
# this compiler
BUILD := $(STATIC_BUILD)
override CC := $(BUILD)/libs/bin/static-cc
SANFLAGS :=
OPT := -O2 -ffunction-sections -fdata-sections -DCHATMAIL_STATIC \
	-ffile-prefix-map=$(CURDIR)=.
else ifdef SAN
BUILD := build/san-$(notdir $(firstword $(CC)))
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all
OPT := -O1
else
BUILD := build
SANFLAGS :=
OPT := -O2
endif

WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	-Wwrite-strings -Wpointer-arith -Wno-unused-parameter \
	-Wno-missing-field-initializers -Werror
# ev.h breaks strict aliasing on purpose
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -g $(OPT) $(WARN) -fno-strict-aliasing \
	-fstack-protector-strong -DCHATMAIL_VERSION='"$(VERSION)"' \
	-include src/base/banned.h -Isrc -I. $(SANFLAGS) $(CFLAGS)
LIBS := -lev -lcares -lssh2 -lcrypto -lcrypt -lcjson -lqrencode -lmd4c-html \
	-lmd4c -lpng -lz -lpthread -lm
LDFLAGS_ALL := $(SANFLAGS) -Wl,-z,noexecstack $(LDFLAGS)
ifdef STATIC
LIBS := -lcurl -lnghttp2 -lssl $(LIBS) -lmd4c
LDFLAGS_ALL += -static -Wl,--gc-sections -Wl,--build-id=none \
	-Wl,--wrap=strerror -Wl,--wrap=gai_strerror
LIB_SOURCES := $(BUILD)/libs/sources
endif

LIB_SRC := $(sort $(wildcard src/base/*.c src/text/*.c src/net/*.c \
	src/relay/*.c src/host/*.c))
APP_SRC := src/main.c $(sort $(wildcard applets/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
APP_OBJ := $(APP_SRC:%.c=$(BUILD)/%.o)
ASSETS := $(sort $(shell find conf-templates www -type f -not -name ".*"))
# assets that are built, by their names below $(BUILD)
BUILT_ASSETS := dovecot/imap-notify.so
UNIT := $(patsubst t/unit/%.c,$(BUILD)/t/unit/%,$(sort $(wildcard t/unit/*.c)))
FUZZ := $(patsubst t/fuzz/%.c,%,$(filter-out t/fuzz/replay.c, \
	$(sort $(wildcard t/fuzz/*.c))))
REPLAY := $(FUZZ:%=$(BUILD)/t/replay/%)
BENCH := $(patsubst t/bench/%.c,$(BUILD)/t/bench/%,$(sort $(wildcard t/bench/*.c)))

# V=1 shows the whole commands
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)")

all: $(BUILD)/chatmail

# What has to be there before anything compiles; prints what it installs.
deps:
	@t/lib/deps

ifdef STATIC
# Stripped; a compiler may make a dynamic program of what was to be static.
$(BUILD)/chatmail: $(APP_OBJ) $(LIB_OBJ)
	$(call say,LD $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -s -o $@.new $^ $(LIBS)
	@! readelf -lW $@.new | grep -q -e INTERP -e DYNAMIC || \
		{ echo "$@ is not static" >&2; rm -f $@.new; exit 1; }
	@mv $@.new $@
else
$(BUILD)/chatmail: $(APP_OBJ) $(LIB_OBJ)
	$(call say,LD $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
endif

$(BUILD)/%.o: %.c Makefile $(LIB_SOURCES)
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Loaded by Dovecot: no sanitizers, and no libc that it would have to match.
$(BUILD)/dovecot/imap-notify.so: src/dovecot/imap-notify.c Makefile $(LIB_SOURCES)
	@mkdir -p $(@D)
	$(call say,SO $@)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -fvisibility=hidden \
		-fno-stack-protector -U_FORTIFY_SOURCE -shared -nostdlib -s \
		-Wl,-z,noexecstack -Wl,-z,noseparate-code -o $@ $<

# The templates and pages travel in the binary: one ASSET() line a file.
$(BUILD)/assets.list: $(ASSETS) $(BUILT_ASSETS:%=$(BUILD)/%) Makefile
	@mkdir -p $(@D)
	@for f in $(sort $(ASSETS) $(BUILT_ASSETS)); do \
		echo "ASSET(\"$$f\")"; \
	done > $@
$(BUILD)/src/base/assets.o: CFLAGS_ALL += -I$(BUILD) -Wa,-I$(BUILD)
$(BUILD)/src/base/assets.o: $(BUILD)/assets.list

# What the libraries in the program were built from: one SOURCE() line each.
ifdef STATIC
$(BUILD)/sources.list: $(LIB_SOURCES)
	@mkdir -p $(@D)
	@sed -n 's/^\([^# ]*\) \([^ ]*\) \([^ ]*\) \([^ ]*\)$$/SOURCE("\1", "\2", "\3", "\4")/p' \
		$< > $@
$(BUILD)/src/host/libraries.o: CFLAGS_ALL += -I$(BUILD)
$(BUILD)/src/host/libraries.o: $(BUILD)/sources.list
endif

$(BUILD)/t/unit/%: t/unit/%.c t/unit/tap.h $(LIB_OBJ)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(CFLAGS_ALL) -It/unit $(LDFLAGS_ALL) -o $@ $< $(LIB_OBJ) $(LIBS)

$(BUILD)/t/replay/%: t/fuzz/%.c t/fuzz/replay.c $(LIB_OBJ)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< t/fuzz/replay.c $(LIB_OBJ) $(LIBS)

$(BUILD)/t/bench/%: t/bench/%.c $(wildcard t/bench/*.h) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB_OBJ) $(LIBS)

# One file for any Linux of this architecture: libraries from Debian's sources,
# built once, with musl.
static:
	@src/static/libs $(STATIC_BUILD)/libs $(ARCH)
	@$(MAKE) --no-print-directory STATIC=1 $(STATIC_BUILD)/chatmail

# Tests of whole servers deploy the static program, which is made meanwhile;
# without it they say so.
check: deps
	@$(MAKE) --no-print-directory check-built MEANWHILE=1

check-built: all $(UNIT) $(REPLAY)
	@MEANWHILE=$(MEANWHILE) t/lib/check $(BUILD) $(UNIT)

# The version that component_iroh.c pins, from crates.io.
IROH := 0.35.0
iroh-relay: build/cache/iroh-relay-$(IROH)/bin/iroh-relay
build/cache/iroh-relay-$(IROH)/bin/iroh-relay:
	nice cargo install iroh-relay --version $(IROH) --locked \
		--features server --root build/cache/iroh-relay-$(IROH)

demo: deps
	@$(MAKE) --no-print-directory all
	@t/lib/demo $(BUILD)/chatmail

bench: all $(BENCH)
	@t/bench/run $(BUILD) $(if $(JSON),--json)

# Each target in its own corpus; findings stay in build/fuzz/.
FUZZ_FLAGS := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
build/fuzz/%: t/fuzz/%.c $(LIB_SRC) $(wildcard src/*/*.h)
	@mkdir -p $(@D) build/fuzz/found
	@$(MAKE) --no-print-directory build/assets.list
	$(call say,FUZZ $@)
	$(Q)clang $(CFLAGS_ALL) -O1 -Ibuild -Wa,-Ibuild \
		$(FUZZ_FLAGS) -o $@ $< $(LIB_SRC) $(LIBS)
fuzz: $(FUZZ:%=build/fuzz/%)
	@for f in $(FUZZ); do \
		mkdir -p t/fuzz/corpus/$$f build/fuzz/new/$$f; \
		echo "fuzz: $$f for $(FUZZ_SECS) s"; \
		build/fuzz/$$f -max_total_time=$(FUZZ_SECS) -timeout=10 \
			-print_final_stats=1 -verbosity=0 \
			-artifact_prefix=build/fuzz/found/$$f- \
			build/fuzz/new/$$f t/fuzz/corpus/$$f || exit 1; \
	done

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(BUILD)/chatmail $(DESTDIR)$(PREFIX)/bin/chatmail
	if [ -e build/static/chatmail ]; then install -D -m 755 \
		build/static/chatmail \
		$(DESTDIR)$(PREFIX)/lib/chatmail/static/chatmail; fi
	$(BUILD)/chatmail man chatmail > $(DESTDIR)$(PREFIX)/share/man/man8/chatmail.8
	$(BUILD)/chatmail man chatmail.ini > $(DESTDIR)$(PREFIX)/share/man/man5/chatmail.ini.5

clean:
	rm -rf build

.PHONY: all deps static check check-built iroh-relay demo bench fuzz install clean
.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(APP_OBJ:.o=.d)
