"""Those who send by a profile's name: alarm notification, reports, scripts."""
