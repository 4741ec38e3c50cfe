# The guest that the tests of `ringside host` run, and their long version.
TICKER := $(O)/guest/ticker.elf

guests: $(TICKER)

$(TICKER): tests/host/ticker.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<

.PHONY: host-soak
host-soak: $(RINGSIDE) $(TESTS) guests ## 1,000 starts and stops of VMs under one host, looking for leaks
	RINGSIDE=$(RINGSIDE) GUESTS=$(O)/guest HOST_CYCLES=1000 \
	  $(TESTS) --filter "host_faults/cycles*" $(TESTFLAGS)

.PHONY: many-soak
many-soak: $(RINGSIDE) $(TESTS) guests ## 32 VMs on 2 pCPUs for 30 s: shares, wake-ups, deaths, memory
	RINGSIDE=$(RINGSIDE) GUESTS=$(O)/guest HOST_MANY=32 HOST_SECONDS=30 HOST_STRICT=1 \
	  $(TESTS) --filter "host_many/*" -j1 $(TESTFLAGS)
soak: many-soak
