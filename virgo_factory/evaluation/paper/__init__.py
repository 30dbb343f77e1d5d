"""What papers print, and our numbers beside it: Virgo's Tables 1 to 6 and Figure 2, OpenMMReasoner's tables."""
