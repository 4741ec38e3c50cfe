# The host program that plays the device of guest/assign; tests/assign_device.c runs it.
ASSIGN_DEVICE := $(O)/tests/assign-device
guests: $(ASSIGN_DEVICE) # the guest's other half
$(ASSIGN_DEVICE): $(O)/tests/assign/device.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $<
-include $(O)/tests/assign/device.d
