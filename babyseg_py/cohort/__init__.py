"""Who was scanned when: samplesheet, BIDS input and names, scores, ledger."""
