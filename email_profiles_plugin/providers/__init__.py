"""The authentication modes that come along, written as a third party's would be."""
